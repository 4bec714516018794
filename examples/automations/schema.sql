-- The tables of the examples; REPLICA IDENTITY FULL where an automation compares with the row before.
create table instances (id text primary key, state text not null, tags jsonb not null default '{}');
create table interfaces (id text primary key, device text not null, status text not null);
create table peers (id text primary key, device text not null, state text not null);
create table configs (id text primary key, device text not null, change_id text not null, text text not null);
create table uploads (id text primary key, bucket text not null, path text not null, size int not null);
create table approvals (id text primary key, order_data jsonb not null, decision text not null);
alter table instances replica identity full;
alter table interfaces replica identity full;
alter table peers replica identity full;
alter table configs replica identity full;
alter table approvals replica identity full;

-- What they write.
create table tickets (id int generated always as identity primary key, kind text not null, device text not null, about text not null);
create table findings (id int generated always as identity primary key, device text not null, change_id text not null, rule text not null);
create table processed (upload_id text not null, size int not null, processed_at timestamptz not null default now());
create table shipments (order_id text not null, customer text not null);
